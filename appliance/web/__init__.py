"""The pages: what a browser sees. Rules live in `appliance`, bytes and words live here."""
