"""A network with a delay, made of two network namespaces and a router between them that holds each packet."""
