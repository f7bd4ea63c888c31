"""The kinds of jobs that TP runs: one package for each, and what they share.

The watch below knows no kind of job, and the tools above know no rule. A kind joins them: see `tp_mcp.jobs.kind`.
"""
