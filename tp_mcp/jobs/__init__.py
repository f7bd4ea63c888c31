"""What TP's answers mean for a watch: the rules of upgrades and executions, and how they are polled.

Pure but for the reader. The watch below knows nothing of TP; this is where the two meet.
"""
