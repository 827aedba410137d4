"""Who works at the region: accounts, roles, log-ins, and the record of what they did."""
