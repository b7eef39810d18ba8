package main

import (
	"fmt"

	"filippo.io/age"
	"github.com/spf13/cobra"
)

// publicSuffix is what the file of a public key has after the name of its private
// half, as ssh-keygen has it.
const publicSuffix = ".pub"

func (c *command) identityCommand() *cobra.Command {
	parent := &cobra.Command{Use: "identity", Short: "On an audience's side: the key that grants are made to"}
	var pq bool
	cmd := &cobra.Command{
		Use: "new FILE", Short: "Draw a key: FILE keeps it, FILE" + publicSuffix + " is for the gateway's operator",
		Long: "Draws a key pair of age. FILE gets the private half (mode 0600), which opens what is granted to it:\n" +
			"keep it, and a copy elsewhere, and give it to nobody. FILE" + publicSuffix + " gets the public half, for\n" +
			"`cairn grant add --to`: whoever changes it on its way reads in your place, so compare it with the\n" +
			"operator by another way. Neither is overwritten. Keys of age-keygen and ssh-keygen (Ed25519, RSA; without\n" +
			"a passphrase) do as well.",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return c.newIdentity(args[0], pq) },
	}
	cmd.Flags().BoolVar(&pq, "post-quantum", false, "a key that a quantum computer does not open either; its public half has 2,000 characters")
	c.jsonFlag(cmd)
	parent.AddCommand(cmd)
	return parent
}

func (c *command) newIdentity(path string, pq bool) error {
	secret, public, err := drawIdentity(pq)
	if err != nil {
		return fmt.Errorf("draw a key: %w", err)
	}
	if exists(path + publicSuffix) {
		return fmt.Errorf("%s is there already, and is not overwritten: give another name", path+publicSuffix)
	}
	if err := writeNew(path, []byte("# public key: "+public+"\n"+secret+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the key: %w", err)
	}
	if err := writeNew(path+publicSuffix, []byte(public+"\n"), 0o644); err != nil {
		return fmt.Errorf("write its public half, which stands in %s too: %w", path, err)
	}
	if c.json {
		return c.printJSON(map[string]string{"file": path, "public": public})
	}
	fmt.Fprintf(c.Out, "%s\n  file    %s (keep it, show nobody)\n  public  %s (for the gateway's operator)\n", public, path, path+publicSuffix)
	return nil
}

func drawIdentity(pq bool) (secret, public string, err error) {
	if pq {
		id, err := age.GenerateHybridIdentity()
		if err != nil {
			return "", "", err
		}
		return id.String(), id.Recipient().String(), nil
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return "", "", err
	}
	return id.String(), id.Recipient().String(), nil
}
