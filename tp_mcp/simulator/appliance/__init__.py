"""The network appliance that the sample tests talk to."""
