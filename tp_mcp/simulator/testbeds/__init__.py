"""Labs, their devices, the builds, and upgrades as timelines."""
