package main

import (
	"context"
	"encoding/json"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// completionLimit is how long a person who pressed tab waits for names.
const completionLimit = time.Second

// takesDevice fits the usage of a command whose first argument is a device.
var takesDevice = regexp.MustCompile(`^\w+ \{?DEVICE\b`)

// complete lets shells complete the names of devices and ledgers, below cmd. They are
// those of the running service: pressing tab opens no folder and asks for no
// passphrase.
func (c *command) complete(cmd *cobra.Command) {
	if takesDevice.MatchString(cmd.Use) {
		cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return c.deviceNames(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
		}
	}
	for flag, names := range map[string]func(context.Context) []string{"device": c.deviceNames, "ledger": c.ledgerNames} {
		if cmd.Flags().Lookup(flag) == nil {
			continue
		}
		_ = cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			return names(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
		})
	}
	for _, sub := range cmd.Commands() {
		c.complete(sub)
	}
}

// deviceNames are the devices that are bound, by name, or by ID where they have none.
func (c *command) deviceNames(ctx context.Context) []string {
	var names []string
	for _, row := range running[[]deviceRow](ctx, c, "devices") {
		name := row.Name
		if name == "" {
			name = row.ID
		}
		if row.Until == "" {
			names = append(names, name)
		}
	}
	return sorted(names)
}

func (c *command) ledgerNames(ctx context.Context) []string {
	var names []string
	for _, row := range running[[]ledgerRow](ctx, c, "ledgers") {
		names = append(names, row.Name)
	}
	return sorted(names)
}

// sorted leaves out what a shell would take apart.
func sorted(names []string) []string {
	names = slices.DeleteFunc(names, func(n string) bool { return strings.ContainsAny(n, "\t\n") })
	slices.Sort(names)
	return slices.Compact(names)
}

// running is the running service's answer, nothing if there is none at once.
func running[A any](ctx context.Context, c *command, name string) (answer A) {
	ctx, cancel := context.WithTimeout(ctx, completionLimit)
	defer cancel()
	conn, err := net.DialTimeout("unix", shortest(filepath.Join(c.dir, socketFile)), completionLimit)
	if err != nil {
		return answer
	}
	if raw, err := c.askService(ctx, conn, name, []byte("{}")); err == nil {
		_ = json.Unmarshal(raw, &answer)
	}
	return answer
}
