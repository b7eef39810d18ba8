package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"cairn/anchor/proof"
)

type versionAnswer struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Time    string `json:"time,omitempty"`
	Changed bool   `json:"changed,omitempty"` // built from a tree with changes
	Go      string `json:"go"`
	System  string `json:"system"`
	Proof   string `json:"proofFormat"`
}

func (c *command) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "version", Short: "Print the version and what it was built from", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := version()
			if c.json {
				return c.printJSON(v)
			}
			fmt.Fprintf(c.Out, "cairn %s %s %s %s, proof files %s\n", v.Version, v.Commit, v.Go, v.System, v.Proof)
			return nil
		},
	}
	c.jsonFlag(cmd)
	return cmd
}

func version() versionAnswer {
	v := versionAnswer{
		Version: "devel", Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH,
		Proof: proof.Magic[:len(proof.Magic)-1],
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if m := info.Main.Version; m != "" && m != "(devel)" {
		v.Version = m
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			v.Changed = s.Value == "true"
		}
	}
	return v
}
