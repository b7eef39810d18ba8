package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// Command runs a program for each notice, with the notice's JSON on standard input. It
// has no shell, and of the environment PATH alone with CAIRN_NEWS, CAIRN_RULE,
// CAIRN_DEVICE and CAIRN_ALERT. It has Timeout to end, and is killed then with
// what it started.
type Command struct {
	Argv    []string
	Path    string        // PATH
	Timeout time.Duration // default 20 s
}

const (
	commandTimeout = 20 * time.Second
	commandKill    = time.Second
	maxOutput      = 256
)

// Notify implements [Notifier].
func (x *Command) Notify(ctx context.Context, n Notice) error {
	body, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("notice: %w", err)
	}
	limit := x.Timeout
	if limit == 0 {
		limit = commandTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, x.Argv[0], x.Argv[1:]...)
	cmd.Stdin = bytes.NewReader(append(body, '\n'))
	cmd.Env = []string{
		"PATH=" + x.Path, "CAIRN_NEWS=" + n.News, "CAIRN_RULE=" + n.Rule, "CAIRN_DEVICE=" + n.Device,
		fmt.Sprintf("CAIRN_ALERT=%d", n.Alert),
	}
	var out tail
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &out, commandKill
	apartFrom(cmd)
	err = cmd.Run()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("command %s did not end within %v", x.Argv[0], limit)
	}
	return fmt.Errorf("command %s: %w: %s", x.Argv[0], err, strings.TrimSpace(string(out.b)))
}

// tail keeps the last of what is written.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if over := len(t.b) - maxOutput; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}
