//go:build !unix

package main

import "net"

// listenPrivate listens on a unix socket; the folder's own rights guard it.
func listenPrivate(path string) (net.Listener, error) { return net.Listen("unix", path) }
