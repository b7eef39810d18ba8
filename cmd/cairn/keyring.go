package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"golang.org/x/term"

	"cairn/store/share"
)

// openKeyring opens a ledger's keyring with what opens all of them.
func openKeyring(cfg *Config, l *LedgerConfig, w share.Wrap) (*share.Keyring, error) {
	k, err := share.Open(l.path(keyringFile), w)
	debug.FreeOSMemory() // scrypt took 64 MiB, once
	switch {
	case errors.Is(err, os.ErrNotExist) && !exists(l.path(keyringFile)):
		return nil, fmt.Errorf("%w: without its keyring the data in %s cannot be read: put the keyring back", err, l.Dir)
	case errors.Is(err, share.ErrPassphrase), errors.Is(err, os.ErrNotExist):
		if cfg.Credential != "" {
			return nil, fmt.Errorf("%w: check keyring.credential in %s", err, cfg.path(configFile))
		}
		return nil, fmt.Errorf("%w: check keyring.passphrase_file or keyring.identity_file in %s", err, cfg.path(configFile))
	}
	return k, err
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// wrap returns what the configuration says opens the keyrings, or asks on the
// terminal.
func (c *command) wrap(ctx context.Context, cfg *Config) (share.Wrap, error) {
	switch {
	case cfg.IdentityFile != "":
		return share.Wrap{Identity: cfg.IdentityFile}, nil
	case cfg.PassphraseFile != "":
		p, err := readSecretFile(cfg.PassphraseFile)
		if err != nil {
			return share.Wrap{}, fmt.Errorf("keyring.passphrase_file: %w", err)
		}
		return share.Wrap{Passphrase: p}, nil
	case cfg.Credential != "":
		b, err := readCredential(cfg.Credential)
		if err != nil {
			return share.Wrap{}, fmt.Errorf("keyring.credential: %w", err)
		}
		return share.Wrap{Credential: b}, nil
	case isTerminal(c.In):
		p, err := c.askPassphrase(ctx, "Passphrase of the keyring: ")
		return share.Wrap{Passphrase: p}, err
	}
	return share.Wrap{}, fmt.Errorf("nothing opens the keyring: set keyring.passphrase_file, keyring.identity_file or keyring.credential in %s, or %s", cfg.path(configFile), envPassphrase)
}

const maxCredential = 1 << 16 // bytes

// readCredential reads a credential that systemd gave this service.
func readCredential(name string) ([]byte, error) {
	path := credentialPath(name)
	if err := credentialGiven(path); err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxCredential {
		return nil, fmt.Errorf("%s has %d bytes: too many for a passphrase or an identity", path, info.Size())
	}
	return os.ReadFile(path)
}

// forget overwrites what opens the keyrings.
func forget(w share.Wrap) {
	clear(w.Passphrase)
	clear(w.Credential)
}

// askPassphrase reads a passphrase from the terminal without showing it. When ctx
// ends, it gives up, and leaves the terminal as it was.
func (c *command) askPassphrase(ctx context.Context, prompt string) ([]byte, error) {
	fd := int(c.In.(*os.File).Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, fmt.Errorf("read passphrase: %w", err)
	}
	type answer struct {
		p   []byte
		err error
	}
	answers := make(chan answer, 1)
	fmt.Fprint(c.Err, prompt)
	go func() { // a read of a terminal cannot be stopped: it ends with the process
		p, err := term.ReadPassword(fd)
		answers <- answer{p, err}
	}()
	var a answer
	select {
	case <-ctx.Done():
		a.err = errors.Join(context.Cause(ctx), term.Restore(fd, before))
	case a = <-answers:
	}
	fmt.Fprintln(c.Err)
	if a.err != nil {
		return nil, fmt.Errorf("read passphrase: %w", a.err)
	}
	if len(a.p) == 0 {
		return nil, errors.New("the passphrase is empty")
	}
	return a.p, nil
}
