"""JSON Schemas as grammars of llama.cpp: what a grammar lets through satisfies its schema, by construction.

`shapes` takes a schema apart into alternatives without logic, `rules` writes the values of a shape down as a grammar,
`language` has the strings of a pattern, a format or a length as automata, for which intersection is easy,
`tables` writes these out, or as much of them as has room.
"""
