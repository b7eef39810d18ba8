//go:build !unix

package main

import (
	"context"
	"os"
)

// lockFolder: on this system the store's own lock has to do. Do not change
// devices while the service starts.
func lockFolder(string) (release func(), err error) { return func() {}, nil }

func lockFolderSoon(context.Context, string) (release func(), err error) { return func() {}, nil }

// ownFolder refuses nobody: such systems have no root.
func ownFolder(string, int) error { return nil }

// giveTo leaves files to whom they belong.
func giveTo(string) (uid, gid int, err error) { return -1, -1, nil }

// tryLock: see lockFolder.
func tryLock(*os.File) error { return nil }

// asOwner knows nothing of users.
func asOwner(string, error) string { return "" }
