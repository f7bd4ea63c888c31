"""How much hypothesis tries, whatever the machine: `--hypothesis-profile=quick` takes a tenth."""

from hypothesis import settings

settings.register_profile("default", deadline=None)
settings.register_profile("quick", deadline=None, max_examples=10, parent=settings.get_profile("default"))
settings.load_profile("default")
