"""Models behind one protocol: local, remote, scripted; and the router that chooses among them."""
