"""The agent's configuration: a TOML file in, frozen settings out.

Unknown keys are errors, and all mistakes are reported at once. Names of keys carry their units.
The string below a field is its meaning in CONFIG.md, which `make reference` writes anew.
"""
