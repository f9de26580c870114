"""PAExec's service on the host, under a name of our own. It is there only while jobs are started through it."""

from __future__ import annotations

from vsspc.core.words import Kind, Resource
from vsspc.resources.site import Site
from vsspc.windows.names import Names


def acquire(site: Site, run: str) -> str:
    """Return the name of this session's service for the run; install it first if need be."""
    if run not in site.services:
        name = Names(run).service(site.token(2))
        site.intend(Resource(Kind.SERVICE, run, name))
        site.transport.install_service(name)
        site.services[run] = name
    return site.services[run]


def release(site: Site, resource: Resource) -> None:
    """Remove the service and its program, by their exact name."""
    site.transport.remove_service(resource.tag)
    if site.services.get(resource.run) == resource.tag:
        del site.services[resource.run]
