"""How a daemon and its clients find each other, and what they say to each other over its socket."""
