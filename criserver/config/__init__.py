"""The server's configuration: YAML files and flags become one frozen `Config`.

`schema` says which keys there are, `load` reads and merges, `checks` refuses what cannot work, `dump` prints. Nothing
here acts on the host beyond reading the files named: whether runc exists is for others to find out.
"""
