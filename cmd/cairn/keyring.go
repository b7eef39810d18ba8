package main

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"golang.org/x/term"

	"cairn/store/share"
)

// openKeyring opens the folder's keyring with what the configuration names, or
// asks on the terminal.
func (c *command) openKeyring(cfg *Config) (*share.Keyring, error) {
	w, err := c.wrap(cfg)
	if err != nil {
		return nil, err
	}
	k, err := share.Open(cfg.path(keyringFile), w)
	clear(w.Passphrase)
	debug.FreeOSMemory() // scrypt took 64 MiB, once
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("%w: without its keyring the data in %s cannot be read: put the keyring back", err, cfg.Dir)
	case errors.Is(err, share.ErrPassphrase):
		return nil, fmt.Errorf("%w: check keyring.passphrase_file or keyring.identity_file in %s", err, cfg.path(configFile))
	}
	return k, err
}

func (c *command) wrap(cfg *Config) (share.Wrap, error) {
	switch {
	case cfg.IdentityFile != "":
		return share.Wrap{Identity: cfg.IdentityFile}, nil
	case cfg.PassphraseFile != "":
		p, err := readSecretFile(cfg.PassphraseFile)
		if err != nil {
			return share.Wrap{}, fmt.Errorf("keyring.passphrase_file: %w", err)
		}
		return share.Wrap{Passphrase: p}, nil
	case isTerminal(c.In):
		p, err := c.askPassphrase("Passphrase of the keyring: ")
		return share.Wrap{Passphrase: p}, err
	}
	return share.Wrap{}, fmt.Errorf("nothing opens the keyring: set keyring.passphrase_file or keyring.identity_file in %s, or %s", cfg.path(configFile), envPassphrase)
}

// askPassphrase reads a passphrase from the terminal without showing it.
func (c *command) askPassphrase(prompt string) ([]byte, error) {
	fmt.Fprint(c.Err, prompt)
	p, err := term.ReadPassword(int(c.In.(*os.File).Fd()))
	fmt.Fprintln(c.Err)
	if err != nil {
		return nil, fmt.Errorf("read passphrase: %w", err)
	}
	if len(p) == 0 {
		return nil, errors.New("the passphrase is empty")
	}
	return p, nil
}
