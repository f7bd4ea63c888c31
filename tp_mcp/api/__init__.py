"""The client of the TP Automation API, and the guard that checks its requests.

client      one typed method per endpoint
endpoints   table of endpoints: read or write, path, time limit, size; paths of reports
requests    requests for upgrades and runs, checked by the guard
models      TP's answers
lenient     field types that tolerate unexpected values
test_tree   TP's test tree
calls       calls with a login: reads are retried, writes are sent once
conflicts   reasons of a 409
auth        credentials and claims of tokens
tp_tokens   minting and renewing of tokens
connection  one HTTP exchange, limited in time and size
answers     status and body of an answer, turned into JSON or an error
guard       checks of everything that is sent
"""
