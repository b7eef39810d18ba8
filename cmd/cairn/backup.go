package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// A backup is a folder with a gateway's configuration, users, keyrings as they are (encrypted),
// escrow files and data, and a manifest, which is written last and names every file with its SHA-256.
// What opens the keyrings, and whatever else is secret in a file of its own, is not in it.
const (
	manifestFile    = "cairn-backup.json"
	manifestVersion = 1
	maxManifest     = 64 << 20
)

// manifest says what a backup holds.
type manifest struct {
	Version int              `json:"version"`
	Made    string           `json:"made"`
	Cairn   string           `json:"cairn"` // version of the program
	Ledgers []backedUpLedger `json:"ledgers"`
	Files   []backedUpFile   `json:"files"`
}

type backedUpLedger struct {
	Name    string `json:"name"`
	Ledger  string `json:"ledger"`
	Batches uint64 `json:"batches"` // at least
}

type backedUpFile struct {
	Path   string `json:"path"` // with slashes
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// snapshotPrefix begins the names of folders of one moment, in the gateway's folder.
const snapshotPrefix = ".backup-"

// snapshot is what a backup is made of: a folder that is there while it is copied.
type snapshot struct {
	Dir     string           `json:"dir"` // name in the gateway's folder
	Made    string           `json:"made"`
	Ledgers []backedUpLedger `json:"ledgers"`
	Left    []string         `json:"left"` // files of the folder that are not in it
}

// snapshot makes a snapshot beside what goes on, tells of it, and removes it when ctx ends:
// when the command that copies it is done, or gone. The service may see no other part of the
// disk than its own folder; its data are hard links.
func (g *gateway) snapshot(ctx context.Context, tell func(string)) (err error) {
	ledgers, err := g.every(ctx, true) // what is read alone cannot be copied as of one moment
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(g.cfg.Dir, snapshotPrefix+"*") // mode 0700
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeSnapshot(dir)) }()
	s := snapshot{Dir: filepath.Base(dir), Made: time.Now().UTC().Format(time.RFC3339)}
	for _, name := range []string{configFile, usersFile} {
		if err := copyPrivate(g.cfg.path(name), filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, l := range ledgers {
		in := dir
		if l.cfg.Dir != g.cfg.Dir {
			in = filepath.Join(dir, ledgersDir, l.cfg.Name)
		}
		if err := os.MkdirAll(in, 0o700); err != nil {
			return err
		}
		s.Ledgers = append(s.Ledgers, backedUpLedger{l.cfg.Name, l.store.Ledger().String(), l.store.LogSize()})
		err := l.store.CopyTo(ctx, filepath.Join(in, dataDir), func() error {
			return copyPrivate(l.cfg.path(keyringFile), filepath.Join(in, keyringFile))
		})
		if err == nil {
			err = copyEscrow(l.cfg.path(escrowDir), filepath.Join(in, escrowDir))
		}
		if err != nil {
			return fmt.Errorf("back up%s: %w", l.where(), err)
		}
	}
	if s.Left, err = g.leftOut(); err != nil {
		return err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	tell(string(text))
	<-ctx.Done()
	return nil
}

// removeSnapshots removes those of a service that was killed. The folder is locked.
func removeSnapshots(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, snapshotPrefix+"*"))
	for _, path := range left {
		err = errors.Join(err, removeSnapshot(path))
	}
	return err
}

// removeSnapshot takes its name from it first: a snapshot that has its name lacks nothing.
func removeSnapshot(dir string) error {
	gone := dir + ".gone"
	if err := os.Rename(dir, gone); err != nil {
		return err
	}
	return os.RemoveAll(gone)
}

type backupAnswer struct {
	To      string           `json:"to"`
	Files   int              `json:"files"`
	Bytes   int64            `json:"bytes"`
	Ledgers []backedUpLedger `json:"ledgers"`
	Left    []string         `json:"left"`              // files of the folder that are not in it
	Unowned bool             `json:"unowned,omitempty"` // the file system keeps no owners
}

// partEnding ends the name of a backup that is not complete.
const partEnding = ".part"

// backup copies a snapshot to a folder that must not be there, as the gateway's owner has it.
// A crash leaves the folder with the other name, and the next backup to there removes it.
func (c *command) backup(ctx context.Context, s *snapshot, to string) (a backupAnswer, err error) {
	from, err := openSnapshot(c.dir, s.Dir)
	if err != nil {
		return a, err
	}
	defer from.Close()
	return c.copySnapshot(ctx, from, s, to)
}

func (c *command) copySnapshot(ctx context.Context, from *os.Root, s *snapshot, to string) (a backupAnswer, err error) {
	in, err := os.OpenRoot(filepath.Dir(to))
	if err != nil {
		return a, err
	}
	defer in.Close()
	name := filepath.Base(to)
	part, done, err := newPart(in, name+partEnding)
	if err != nil {
		return a, err
	}
	defer done()
	defer func() {
		if err != nil {
			err = errors.Join(err, in.RemoveAll(name+partEnding))
		}
	}()
	m := manifest{Version: manifestVersion, Made: s.Made, Cairn: version().Version, Ledgers: s.Ledgers}
	m.Files, err = c.copyTree(ctx, from, part)
	if !exists(filepath.Join(c.dir, s.Dir)) { // so it may have gone while it was copied
		return a, errors.New("the service ended before everything was copied: try again")
	}
	if err == nil {
		err = m.write(part)
	}
	if err != nil {
		return a, fmt.Errorf("copy to %s: %w", to, err)
	}
	a = backupAnswer{To: to, Files: len(m.Files), Ledgers: m.Ledgers, Left: s.Left}
	for _, f := range m.Files {
		a.Bytes += f.Size
	}
	if err := giveTree(part, c.dir); errors.Is(err, fs.ErrPermission) {
		a.Unowned = true
	} else if err != nil {
		return a, err
	}
	if err := in.Rename(name+partEnding, name); err != nil {
		return a, err
	}
	return a, errors.Join(part.Remove(lockFile), syncTree(part), syncTop(in))
}

// copyEscrow copies a ledger's escrow files, if there are any. One that goes meanwhile is
// destroyed by a shredding.
func copyEscrow(from, to string) error {
	entries, err := os.ReadDir(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = os.Mkdir(to, 0o700)
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		err := copyPrivate(filepath.Join(from, e.Name()), filepath.Join(to, e.Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// leftOut are the files of the gateway's folder that no backup has.
func (g *gateway) leftOut() ([]string, error) {
	left := []string{}
	entries, err := os.ReadDir(g.cfg.Dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), snapshotPrefix) {
			continue
		}
		if in := []string{configFile, usersFile, keyringFile, dataDir, escrowDir, ledgersDir, socketFile, lockFile}; !slices.Contains(in, e.Name()) {
			left = append(left, e.Name())
		}
	}
	return left, err
}

// vacant refuses a path that something is at.
func vacant(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fmt.Errorf("%s is there already, and is not overwritten: give another name", path)
		}
		return err
	}
	return nil
}

func (m *manifest) write(dir *os.Root) error {
	b, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return err
	}
	f, err := dir.OpenFile(manifestFile, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	return errors.Join(written(f, err), syncTop(dir))
}

func (c *command) backupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "backup DIR", Short: "Copy the gateway, as it is at this moment, while it runs",
		Long: "Writes a folder that must not exist, with the configuration, the users of the console, the\n" +
			"keyrings as they are, encrypted, escrow files and the data, all of one moment, and a list of their hashes.\n" +
			"Not in it: what opens the keyrings (an identity, a passphrase), tokens, passwords and keys of\n" +
			"wallets: keep those apart, and know where. It is complete when it has its name: while it is\n" +
			"being written that ends with .part, and what a backup that was killed has left there the next\n" +
			"one of that name removes. The files are copies, which the owner of the gateway's folder alone\n" +
			"can read, also where root makes them.\n\n" +
			"A backup keeps what is shredded later: whoever has it, and opens its keyrings, reads what was\n" +
			"there. Shredding reaches no backup: remove old ones.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			to, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			if err := vacant(to); err != nil {
				return err
			}
			var a backupAnswer
			err = during(cmd.Context(), c, "snapshot", nothing{}, func(ctx context.Context, s snapshot) (err error) {
				a, err = c.backup(ctx, &s, to)
				return err
			})
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(a)
			}
			fmt.Fprintf(c.Out, "%s: %d files, %d bytes, of %d %s\n", a.To, a.Files, a.Bytes, len(a.Ledgers), plural(len(a.Ledgers), "ledger"))
			if a.Unowned {
				fmt.Fprintf(c.Err, "this file system keeps no owners: who reads %s is up to how it is mounted\n", a.To)
			}
			if len(a.Left) > 0 {
				fmt.Fprintf(c.Err, "not in it, so keep them apart if you need them: %s\n", strings.Join(a.Left, ", "))
			}
			return nil
		},
	}
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) restoreCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "restore BACKUP DIR", Short: "Make a gateway's folder of a backup",
		Long: "Checks every file of a backup against its hash and makes a gateway's folder of it, which must\n" +
			"not be there or be empty. What is restored is an old state: with a route that keeps a head, or\n" +
			"a witness, it signs nothing until its log holds the newest head that they know, and where\n" +
			"readings came after the backup, it never will: begin a successor ledger then. Never run it\n" +
			"beside the one that it is a copy of.",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := c.restore(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(m)
			}
			fmt.Fprintf(c.Out, "%s: %d files of %s restored, each with the hash that it had\n", args[1], len(m.Files), m.Made)
			fmt.Fprintf(c.Err, "put what opens the keyring there, and then: cairn --dir %s doctor\n", args[1])
			return nil
		},
	}
	c.jsonFlag(cmd)
	return cmd
}

// restore copies a backup whose hashes are right. What cannot be restored whole leaves nothing.
func (c *command) restore(ctx context.Context, from, to string) (m *manifest, err error) {
	source, err := os.OpenRoot(from)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	if m, err = readManifest(source); err != nil {
		return nil, err
	}
	if err := ownFolder(to, os.Geteuid()); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(to)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if len(entries) > 0 {
		return nil, fmt.Errorf("%s is not empty: restore into another folder", to)
	}
	err = c.eachFile(m, "MB checked", func(f *backedUpFile, did func(int64)) (backedUpFile, error) {
		return hashed(ctx, source, f.Path, did)
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w; nothing was restored", from, err)
	}
	made := !exists(to)
	if err := os.MkdirAll(to, 0o700); err != nil {
		return nil, err
	}
	target, err := os.OpenRoot(to)
	if err != nil {
		return nil, err
	}
	defer target.Close()
	m.sort()
	err = c.eachFile(m, "MB restored", func(f *backedUpFile, did func(int64)) (backedUpFile, error) {
		if err := target.MkdirAll(path.Dir(f.Path), 0o700); err != nil {
			return backedUpFile{}, err
		}
		return copyHashed(ctx, source, target, f.Path, did)
	})
	if err == nil {
		err = syncTree(target)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w; nothing was restored", from, err), takeBack(target, m, made))
	}
	return m, nil
}

// eachFile does something with the files of a backup, which must have the hashes that they had.
func (c *command) eachFile(m *manifest, what string, do func(f *backedUpFile, did func(int64)) (backedUpFile, error)) error {
	var done, total int64
	for _, f := range m.Files {
		total += f.Size
	}
	g := newGauge(c.progress, what, 1e6)
	defer c.progress("")
	for i := range m.Files {
		f := &m.Files[i]
		got, err := do(f, func(n int64) {
			done += n
			g.at(uint64(done), uint64(max(done, total)))
		})
		if err == nil && (got.SHA256 != f.SHA256 || got.Size != f.Size) {
			err = falseError{fmt.Errorf("%s is not what was backed up: its hash is another one", f.Path)}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// takeBack removes what was restored in part, and the folder too if it was made for that.
func takeBack(dir *os.Root, m *manifest, made bool) (err error) {
	for _, f := range m.Files {
		first, _, _ := strings.Cut(f.Path, "/")
		err = errors.Join(err, dir.RemoveAll(first))
	}
	if made {
		err = errors.Join(err, os.Remove(dir.Name()))
	}
	return err
}

// sort puts the configuration last: a folder without it is no gateway's, so one that was
// restored in part is not taken for one.
func (m *manifest) sort() {
	last := func(f backedUpFile) int {
		if f.Path == configFile {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(m.Files, func(a, b backedUpFile) int { return cmp.Compare(last(a), last(b)) })
}

// readManifest reads the list of a backup's files, none of which may lie outside of it.
func readManifest(dir *os.Root) (*manifest, error) {
	f, err := dir.Open(manifestFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s has no %s: it is no backup, or one that was not finished", dir.Name(), manifestFile)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir.Name(), err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err != nil {
		return nil, err
	}
	return parseManifest(b)
}

func parseManifest(b []byte) (*manifest, error) {
	m := new(manifest)
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(m); err != nil || len(b) > maxManifest {
		return nil, fmt.Errorf("%s is malformed: %w", manifestFile, cmpError(err))
	}
	if m.Version != manifestVersion {
		return nil, fmt.Errorf("%s is of version %d, this program knows %d", manifestFile, m.Version, manifestVersion)
	}
	seen := map[string]bool{}
	for _, f := range m.Files {
		if !filepath.IsLocal(filepath.FromSlash(f.Path)) || strings.Contains(f.Path, `\`) || seen[f.Path] || f.Path == manifestFile {
			return nil, fmt.Errorf("%s names %.80q, which is no file of a backup, or stands there twice", manifestFile, f.Path)
		}
		seen[f.Path] = true
	}
	if !seen[configFile] || !seen[keyringFile] {
		return nil, fmt.Errorf("%s names no %s or no %s", manifestFile, configFile, keyringFile)
	}
	return m, nil
}

func cmpError(err error) error {
	if err == nil {
		return errors.New("it is too long")
	}
	return err
}

func snapshotOperation(ctx context.Context, g *gateway, _ string, _ json.RawMessage, tell func(string)) (any, error) {
	return nothing{}, g.snapshot(ctx, tell)
}
