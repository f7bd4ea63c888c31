"""The client of the TP Automation API, and the guard on what it sends.

client      one typed method per endpoint
endpoints   which calls read and which write, their paths, time limits and sizes
requests    what starts an upgrade or a run; made through the guard
models      TP's answers
testcases   TP's test tree
reports     where a run's report is
login       what TP's answer to a login means
calls       calls with a login: reads repeated, writes sent once
busy        what a 409 is about
auth        credentials, and what a token says about itself
tokens      minting and renewing
connection  one exchange over HTTP: bounded, redacted, its failures as one error each
answers     what an answer's status and body mean
retries     reads are repeated, writes never
guard       what may be sent
"""
