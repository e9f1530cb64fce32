"""Models behind one protocol: local, remote, scripted."""
