"""What we depend on: under which licences, and with which known vulnerabilities. `make dependencies`; docs/security.md.

policy.toml   what we accept, and why: licences, exceptions by name, vulnerabilities until a date, data
licences      the licence of everything in requirements.lock, as installed, held against the policy; needs no network
audit         pip-audit over the same list, from an environment of its own; refuses to pass where nobody was asked
"""
