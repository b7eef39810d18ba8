// Command tdwitness runs the witness of transparency-dev, which keeps what it knows
// in memory, and asks witnesses by its client. It is for tests alone, and a module
// of its own so that the gateway's does not need that one's dependencies.
//
//	tdwitness serve NAME VKEY…       a witness that knows the logs with these verifier
//	                                 keys; it writes its own key and its address
//	tdwitness ask URL OLD [HASH…]    asks the witness at URL to cosign the checkpoint on
//	                                 standard input, with a proof from the size OLD
package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"

	fnote "github.com/transparency-dev/formats/note"
	client "github.com/transparency-dev/witness/client/http"
	"github.com/transparency-dev/witness/persistence/inmemory"
	"github.com/transparency-dev/witness/witness"
	"golang.org/x/mod/sumdb/note"
)

func main() {
	err := errors.New("usage: tdwitness serve NAME VKEY… | ask URL OLD [HASH…]")
	switch args := os.Args[1:]; {
	case len(args) > 1 && args[0] == "serve":
		err = serve(args[1], args[2:])
	case len(args) > 2 && args[0] == "ask":
		err = ask(args[1], args[2], args[3:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "tdwitness:", err)
		os.Exit(1)
	}
}

func serve(name string, logs []string) error {
	known := map[string]note.Verifier{}
	for _, vkey := range logs {
		v, err := note.NewVerifier(vkey)
		if err != nil {
			return err
		}
		known[v.Name()] = v
	}
	private, public, err := note.GenerateKey(nil, name)
	if err != nil {
		return err
	}
	signer, err := fnote.NewSignerForCosignatureV1(private)
	if err != nil {
		return err
	}
	w, err := witness.New(context.Background(), witness.Opts{
		Persistence: inmemory.New(), Signers: []note.Signer{signer},
		VerifierForLog: func(_ context.Context, origin string) (note.Verifier, bool, error) {
			v, ok := known[origin]
			return v, ok, nil
		},
	})
	if err != nil {
		return err
	}
	on, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", witness.NewHTTPHandler(w).AddCheckpoint)
	raw, err := base64.StdEncoding.DecodeString(public[len(public)-base64.StdEncoding.EncodedLen(1+ed25519.PublicKeySize):])
	if err != nil {
		return err
	}
	raw[0] = 0x04 // the same key, as one that cosigns
	fmt.Printf("key %s+%08x+%s\n", name, signer.KeyHash(), base64.StdEncoding.EncodeToString(raw))
	fmt.Printf("listening on %s\n", on.Addr())
	return http.Serve(on, mux)
}

// ask writes what the client says of the answer: the lines of a 200, or its error
// and the size that came with it.
func ask(at, old string, hashes []string) error {
	u, err := url.Parse(at)
	if err != nil {
		return err
	}
	size, err := strconv.ParseUint(old, 10, 64)
	if err != nil {
		return err
	}
	var proof [][]byte
	for _, h := range hashes {
		b, err := base64.StdEncoding.DecodeString(h)
		if err != nil {
			return err
		}
		proof = append(proof, b)
	}
	checkpoint, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	lines, known, err := client.NewWitness(u, http.DefaultClient).Update(context.Background(), size, checkpoint, proof)
	if err != nil {
		fmt.Printf("refused %d: %v\n", known, err)
		return nil
	}
	_, err = os.Stdout.Write(lines)
	return err
}
