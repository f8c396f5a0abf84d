"""The web console: what the devices of a project do, and what they are told, for people.

Everything a browser asks for comes through :mod:`localcloud.console.entrance`, which lets in only
who has signed in. The pages are on NiceGUI (docs/decisions/0006): it is imported once somebody
signs in, so a cloud nobody looks at pays for none of it. ``pages/`` has one module per page;
beside it are the modules that read the store for them and know no widget.
"""
