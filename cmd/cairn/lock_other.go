//go:build !unix

package main

import "context"

// lockFolder: on this system the store's own lock has to do. Do not change
// devices while the service starts.
func lockFolder(string) (release func(), err error) { return func() {}, nil }

func lockFolderSoon(context.Context, string) (release func(), err error) { return func() {}, nil }

// ownFolder refuses nobody: such systems have no root.
func ownFolder(string, int) error { return nil }

// giveTo leaves files to whom they belong.
func giveTo(string, string) error { return nil }
