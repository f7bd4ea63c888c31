"""Waits, in seconds of the appliance, which may run faster than real ones."""

import time


class Pace:
    def __init__(self, scale):
        self._scale = scale

    def wait(self, seconds):
        time.sleep(seconds / self._scale)
