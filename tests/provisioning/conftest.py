"""What the tests of this room share: one built system for a whole run."""

from tests.provisioning.appliance_tree import appliance_image, appliance_tree, workshop

__all__ = ["appliance_image", "appliance_tree", "workshop"]
