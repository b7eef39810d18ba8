package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// reloader is what a running service needs to read its configuration anew.
type reloader struct {
	read  func() (*Config, map[string]string, error)
	level slog.LevelVar // of the log

	mu     sync.Mutex        // one reload at a time
	values map[string]string // what the service runs with; under mu
}

// readAgain reads a configuration, and gives its settings by key.
func readAgain(dir string, flags *pflag.FlagSet, environ []string) (*Config, map[string]string, error) {
	values := map[string]string{}
	cfg, err := readConfig(dir, flags, environ, func(c *Config, s *settings) {
		c.findLedgers(s)
		for _, key := range allKeys() {
			values[key] = fmt.Sprint(s.get(key))
		}
	})
	return cfg, values, err
}

// reloadAnswer is `cairn reload --json`: settings that are not what the service ran
// with before.
type reloadAnswer struct {
	Applied []string `json:"applied"`
	Restart []string `json:"needRestart"` // stay as they were until then
}

const keyLogLevel = "log.level"

// reload applies what can be applied while the service runs. A configuration that is
// wrong changes nothing.
func (s *service) reload() (reloadAnswer, error) {
	r := s.again
	r.mu.Lock()
	defer r.mu.Unlock()
	s.tellManager(daemon.SdNotifyReloading)
	defer s.tellManager(daemon.SdNotifyReady)
	a := reloadAnswer{Applied: []string{}, Restart: []string{}}
	cfg, values, err := r.read()
	if err != nil {
		return a, err
	}
	senders, err := cfg.readSenders(s.token)
	if err != nil {
		return a, err
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		switch {
		case values[key] == r.values[key]:
			continue
		case key == keyLogLevel:
			r.level.Set(logLevel(cfg.LogLevel))
		case key == keySenders && s.live.posted != nil: // below: their tokens may have changed too
		default:
			a.Restart = append(a.Restart, key)
			continue
		}
		a.Applied = append(a.Applied, key)
		r.values[key] = values[key]
	}
	if s.live.posted != nil {
		if err := s.live.posted.SetSenders(senders); err != nil {
			return a, err
		}
	}
	s.log.Info("configuration read again", "applied", a.Applied, "need a restart", a.Restart)
	return a, nil
}

func (g *gateway) reload(context.Context, string, nothing) (reloadAnswer, error) {
	if g.live == nil {
		return reloadAnswer{}, errors.New("no service runs here: it reads the configuration when it starts")
	}
	return g.live.reload()
}

func (c *command) reloadCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "reload", Short: "Have the running service read its configuration again",
		Long: "Has the running service read its configuration again. It takes the senders, with their tokens\n" +
			"and certificates, and log.level; what else has changed is named, and waits for a restart. A\n" +
			"configuration with an error changes nothing.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := ask[reloadAnswer](cmd.Context(), c, "reload", nothing{})
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(a)
			}
			if len(a.Applied)+len(a.Restart) == 0 {
				fmt.Fprintln(c.Out, "no setting has changed; senders' tokens and certificates were read again")
			}
			if len(a.Applied) > 0 {
				fmt.Fprintf(c.Out, "applied: %s\n", strings.Join(a.Applied, ", "))
			}
			if len(a.Restart) > 0 {
				fmt.Fprintf(c.Out, "as it was until a restart: %s\n", strings.Join(a.Restart, ", "))
			}
			return nil
		},
	}
	c.jsonFlag(cmd)
	return cmd
}
