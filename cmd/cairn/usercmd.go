package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"cairn/cmd/cairn/web"
	"cairn/store/mirror"
)

// userRequest adds, changes or removes one who may log in. The password travels as
// what is kept of it.
type userRequest struct {
	web.User
	Hash string `json:"hash,omitempty"`
}

func (g *gateway) listUsers(context.Context, string, nothing) ([]web.User, error) {
	a, err := g.accounts()
	if err != nil {
		return nil, err
	}
	return a.Users(), nil
}

func (g *gateway) addUser(_ context.Context, _ string, q userRequest) (web.User, error) {
	a, err := g.accounts()
	if err != nil {
		return web.User{}, err
	}
	return a.AddUser(q.User, q.Hash)
}

func (g *gateway) removeUser(_ context.Context, _ string, q userRequest) (nothing, error) {
	a, err := g.accounts()
	if err != nil {
		return nothing{}, err
	}
	return nothing{}, a.RemoveUser(q.Name)
}

func (g *gateway) setPassword(_ context.Context, _ string, q userRequest) (nothing, error) {
	a, err := g.accounts()
	if err != nil {
		return nothing{}, err
	}
	return nothing{}, a.SetPassword(q.Name, q.Hash)
}

// tokenRequest makes or revokes an API token.
type tokenRequest struct {
	Name  string `json:"name"`
	Scope string `json:"scope,omitempty"`
	Until int64  `json:"until,omitempty"` // Unix ms
}

// tokenAnswer has the token itself, this once.
type tokenAnswer struct {
	web.Token
	Secret string `json:"token,omitempty"`
}

func (g *gateway) listTokens(context.Context, string, nothing) ([]web.Token, error) {
	a, err := g.accounts()
	if err != nil {
		return nil, err
	}
	return a.Tokens(), nil
}

func (g *gateway) addToken(_ context.Context, _ string, q tokenRequest) (tokenAnswer, error) {
	a, err := g.accounts()
	if err != nil {
		return tokenAnswer{}, err
	}
	t, secret, err := a.AddToken(q.Name, q.Scope, time.UnixMilli(q.Until))
	return tokenAnswer{t, secret}, err
}

func (g *gateway) revokeToken(_ context.Context, _ string, q tokenRequest) (nothing, error) {
	a, err := g.accounts()
	if err != nil {
		return nothing{}, err
	}
	return nothing{}, a.RevokeToken(q.Name)
}

func (c *command) userCommand() *cobra.Command {
	parent := &cobra.Command{
		Use: "user", Short: "Say who may log in to the console",
		Long: "Users log in to the console, which `cairn run` serves at http.listen. A viewer reads everything of\n" +
			"the site, an operator also acknowledges alerts and announces maintenance, an admin also ends logins\n" +
			"and API tokens. One of the role audience reads what the grants to that audience open, hour by hour,\n" +
			"and nothing else. Passwords are kept as argon2id, in users.json in the gateway's folder.",
	}
	parent.AddCommand(c.userAdd(), c.userList(), c.userPassword(), c.userRemove())
	return parent
}

// passwordFlags are the ways to give a password. None is an argument, which others
// could read from the process list and the shell's history.
type passwordFlags struct {
	file  string
	stdin bool
}

func (f *passwordFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.file, "password-file", "", "file of mode 0600 whose first line is the password (default: ask on the terminal)")
	cmd.Flags().BoolVar(&f.stdin, "password-stdin", false, "read the password from the first line of standard input")
	cmd.MarkFlagsMutuallyExclusive("password-file", "password-stdin")
}

// hash reads the password and returns what is kept of it.
func (f *passwordFlags) hash(ctx context.Context, c *command) (string, error) {
	var password []byte
	var err error
	switch {
	case f.file != "":
		if password, err = readSecretFile(f.file); err != nil {
			return "", fmt.Errorf("--password-file: %w", err)
		}
	case f.stdin:
		b, err := io.ReadAll(io.LimitReader(c.In, 64<<10))
		if err != nil {
			return "", fmt.Errorf("--password-stdin: %w", err)
		}
		line, _, _ := strings.Cut(string(b), "\n")
		password = []byte(strings.TrimSuffix(line, "\r"))
	case !isTerminal(c.In):
		return "", errors.New("the password is asked for on a terminal, and standard input is none: use --password-file or --password-stdin")
	default:
		if password, err = c.askPassphrase(ctx, "Password: "); err != nil {
			return "", err
		}
		again, err := c.askPassphrase(ctx, "Once more: ")
		if err != nil {
			return "", err
		}
		if string(again) != string(password) {
			return "", errors.New("the two passwords differ")
		}
	}
	return web.HashPassword(ctx, password)
}

func (c *command) userAdd() *cobra.Command {
	var f passwordFlags
	var role, audience string
	cmd := &cobra.Command{
		Use: "add NAME [--role viewer|operator|admin] [--audience NAME]", Short: "Add one who may log in", Args: cobra.ExactArgs(1),
		Long: "Adds one who may log in to the console. With --audience it is the login of an audience: it sees what\n" +
			"the grants to the audience of that name open (cairn grant list), and nothing else.",
		RunE: func(cmd *cobra.Command, args []string) error {
			u := web.User{Name: args[0], Role: web.Role(role), Audience: audience}
			if audience != "" {
				u.Role = web.Audience
			}
			hash, err := f.hash(cmd.Context(), c)
			if err != nil {
				return err
			}
			added, err := ask[web.User](cmd.Context(), c, "user/add", userRequest{u, hash})
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(added)
			}
			fmt.Fprintf(c.Out, "%s may log in as %s\n", added.Name, roleText(&added))
			return nil
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&role, "role", string(web.Viewer), "viewer, operator or admin")
	cmd.Flags().StringVar(&audience, "audience", "", "the audience whose grants this login sees, instead of a role")
	cmd.MarkFlagsMutuallyExclusive("role", "audience")
	c.jsonFlag(cmd)
	return cmd
}

func roleText(u *web.User) string {
	if u.Role == web.Audience {
		return "the audience " + u.Audience
	}
	return string(u.Role)
}

func (c *command) userList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List who may log in", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := ask[[]web.User](cmd.Context(), c, "users", nothing{})
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(all)
			}
			if len(all) == 0 {
				fmt.Fprintln(c.Out, "nobody may log in: `cairn user add NAME --role admin` adds the first user")
				return nil
			}
			w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "USER\tROLE\tADDED")
			for i := range all {
				fmt.Fprintf(w, "%s\t%s\t%s\n", all[i].Name, roleText(&all[i]), all[i].Added)
			}
			return w.Flush()
		},
	}
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) userPassword() *cobra.Command {
	var f passwordFlags
	cmd := &cobra.Command{
		Use: "password NAME", Short: "Give a user another password, and end their sessions", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			hash, err := f.hash(cmd.Context(), c)
			if err != nil {
				return err
			}
			if _, err := ask[nothing](cmd.Context(), c, "user/password", userRequest{web.User{Name: args[0]}, hash}); err != nil {
				return err
			}
			fmt.Fprintf(c.Out, "%s has another password; sessions begun with the old one are over\n", args[0])
			return nil
		},
	}
	f.add(cmd)
	return cmd
}

func (c *command) userRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "End a login and its sessions", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := ask[nothing](cmd.Context(), c, "user/remove", userRequest{User: web.User{Name: args[0]}}); err != nil {
				return err
			}
			fmt.Fprintf(c.Out, "%s may log in no more\n", args[0])
			return nil
		},
	}
}

func (c *command) tokenCommand() *cobra.Command {
	parent := &cobra.Command{
		Use: "token", Short: "Make and revoke tokens for the console's API",
		Long: "A program asks the API below /api/v1/ with a token (Authorization: Bearer …). Its scope is read,\n" +
			"operate or admin, which is what a viewer, an operator or an admin may, and it has an end. What is\n" +
			"kept of it is its SHA-256. /api/v1/openapi.json describes the API.",
	}
	parent.AddCommand(c.tokenAdd(), c.tokenList(), c.tokenRevoke())
	return parent
}

func (c *command) tokenAdd() *cobra.Command {
	var scope, lasts, file string
	cmd := &cobra.Command{
		Use: "add NAME [--scope read|operate|admin] [--for 90d] [--token-file FILE]", Short: "Make a token, which is shown once", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			age, err := mirror.ParseAge(lasts)
			if err != nil {
				return fmt.Errorf("--for: %w", err)
			}
			if _, err := os.Lstat(file); file != "" && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%s is there already, and is not overwritten: give another name", file)
			}
			a, err := ask[tokenAnswer](cmd.Context(), c, "token/add", tokenRequest{args[0], scope, time.Now().Add(age).UnixMilli()})
			if err != nil {
				return err
			}
			if file != "" {
				if err := writeNew(file, []byte(a.Secret+"\n"), 0o600); err != nil {
					_, rerr := ask[nothing](cmd.Context(), c, "token/revoke", tokenRequest{Name: args[0]})
					return errors.Join(fmt.Errorf("--token-file: %w: the token was revoked again", err), rerr)
				}
				a.Secret = ""
			}
			if c.json {
				return c.printJSON(a)
			}
			fmt.Fprintf(c.Out, "token %s, scope %s, until %s\n", a.Name, a.Scope, a.Until)
			if file == "" {
				fmt.Fprintf(c.Out, "%s\n", a.Secret)
				fmt.Fprintln(c.Err, "The token is shown this once: pass it on in secret.")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&scope, "scope", "read", "read, operate or admin")
	cmd.Flags().StringVar(&lasts, "for", "90d", "how long it lasts, such as 12h or 90d; at most two years")
	cmd.Flags().StringVar(&file, "token-file", "", "write the token to this new file, of mode 0600, instead of showing it")
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) tokenList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the tokens, without what they are known by", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := ask[[]web.Token](cmd.Context(), c, "tokens", nothing{})
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(all)
			}
			if len(all) == 0 {
				fmt.Fprintln(c.Out, "there is no token")
				return nil
			}
			w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "TOKEN\tSCOPE\tADDED\tUNTIL")
			for _, t := range all {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", t.Name, t.Scope, t.Added, t.Until)
			}
			return w.Flush()
		},
	}
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) tokenRevoke() *cobra.Command {
	return &cobra.Command{
		Use: "revoke NAME", Short: "End a token", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := ask[nothing](cmd.Context(), c, "token/revoke", tokenRequest{Name: args[0]}); err != nil {
				return err
			}
			fmt.Fprintf(c.Out, "token %s is taken no more\n", args[0])
			return nil
		},
	}
}
