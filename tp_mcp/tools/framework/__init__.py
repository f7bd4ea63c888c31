"""What every tool is made of: definitions, argument errors, pagination and shared documents."""
