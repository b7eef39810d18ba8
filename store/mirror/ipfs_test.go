package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	runner "cairn/scripts/ipfs"

	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/ipfs"
	"cairn/store/share"
)

// press publishes a site's groups as a gateway does, and can do so falsely.
type press struct {
	s     *site
	node  *ipfs.Node
	last  *FolderLink
	least Lengths
	dirs  []ipfs.CID
	bend  func(f *Folder) // before a folder is published; nil: not
}

// publish publishes what the press does not have yet, and a head if there is a live group.
func (p *press) publish() ipfs.CID {
	p.s.t.Helper()
	newest := ipfs.CID{}
	from := uint64(0)
	if p.last != nil {
		from, newest = p.last.Next, p.last.CID
	}
	refs, _ := p.s.Groups(context.Background(), from) // of a site in memory
	for _, ref := range refs {
		dir := p.folder(ref)
		newest = dir.CID
		if !ref.Live {
			p.last = &FolderLink{From: ref.First, Next: ref.Next, CID: dir.CID}
			p.dirs = append(p.dirs, dir.CID)
			p.s.state(ledger.Published{First: ref.First, Next: ref.Next, CID: dir.CID.String()}.Statement(p.s.now()), false)
		}
	}
	return newest
}

func (p *press) folder(ref store.GroupRef) *ipfs.Directory {
	p.s.t.Helper()
	k := p.s.hourKey(ledgerName, ref.Hour)
	g, err := store.OpenGroup(k, p.s.id.Ledger, ref.Hour, ref.First, p.s.files[ref.Object])
	if err != nil {
		p.s.t.Fatal(err)
	}
	f := &Folder{
		Ledger: p.s.id.Ledger, From: ref.First, Next: ref.Next, Previous: p.last, Checkpoint: p.s.headAt(int(ref.Next)), Update: p.s.update,
		Headers: func(i uint64) ([]byte, error) { return p.s.entries[i], nil },
		Group: &FolderGroup{Ref: ref, Key: k, Objects: g.Objects, Least: p.least, Get: func(o *store.ObjectRef) ([]byte, error) {
			if o == nil {
				return p.s.files[ref.Object], nil
			}
			if b, ok := p.s.files[o.Hash]; ok {
				return b, nil
			}
			return nil, store.ErrShredded
		}},
	}
	if ref.Live {
		f.Group.Leaves, _ = p.s.StatementLeaves(context.Background(), 0, g.FirstStatement) // of a site in memory
	}
	if p.bend != nil {
		p.bend(f)
	}
	dir, err := f.Directory()
	if err != nil {
		p.s.t.Fatal(err)
	}
	again, err := f.Directory()
	if err != nil || again.CID != dir.CID {
		p.s.t.Fatalf("the same folder is %v, then %v, %v", dir.CID, again.CID, err)
	}
	if err := p.node.Publish(context.Background(), dir); err != nil {
		p.s.t.Fatal(err)
	}
	return dir
}

// newNode starts an IPFS node for several presses.
func newNode(t *testing.T) *ipfs.Node {
	t.Helper()
	n, err := ipfs.NewNode(ipfs.NodeConfig{URL: runner.Start(t).URL, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// TestIPFS restores copies from IPFS alone: after each of several rounds of publishing, whole and going on, each the
// same as one that followed the site.
func TestIPFS(t *testing.T) {
	s, ctx, node := newSite(t), context.Background(), newNode(t)
	p := &press{s: s, node: node}
	on := s.open(t.TempDir(), Options{})
	for round, windows := range []int{7, 20, 300, 1, 40} {
		s.close(windows)
		newest := p.publish()
		src, err := FromIPFS(ctx, p.node, newest, s.id.Ledger, s.keys(), 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		whole := s.open(t.TempDir(), Options{})
		follow(t, whole, src, s.keys())
		known, _, _ := on.Head()
		if src, err = FromIPFS(ctx, p.node, newest, s.id.Ledger, s.keys(), known.Size, nil); err != nil {
			t.Fatal(err)
		}
		if round > 1 && len(src.folders) > 25 {
			t.Errorf("to go on from batch %d, %d folders were read", known.Size, len(src.folders))
		}
		follow(t, on, src, s.keys())
		site := s.open(t.TempDir(), Options{})
		follow(t, site, s, s.keys())
		want, _, _ := site.Head()
		for name, c := range map[string]*Copy{"whole": whole, "going on": on} {
			if head, _, _ := c.Head(); head.Size != want.Size || head.Root != want.Root {
				t.Errorf("round %d, %s: head of %d batches, want %d", round, name, head.Size, want.Size)
			}
			got, wanted := files(t, c.Dir()), files(t, site.Dir())
			for file, b := range wanted {
				if strings.HasPrefix(file, "sealed/") && strings.Count(file, "/") == 2 && !bytes.Equal(got[file], b) {
					t.Errorf("round %d, %s: %s is another", round, name, file)
				}
			}
		}
	}
	leaves, err := on.StatementLeaves(ctx, 0, 3)
	if err != nil || len(leaves) != 3 {
		t.Errorf("got %d statements, %v", len(leaves), err)
	}
}

// TestIPFSLies reads folders that are not what they should be.
func TestIPFSLies(t *testing.T) {
	ctx, node := context.Background(), newNode(t)
	for name, c := range map[string]struct {
		bend func(s *site, p *press, f *Folder)
		want Kind
	}{
		"another ledger": {func(_ *site, _ *press, f *Folder) { f.Ledger[0] ^= 1 }, FalseAnswer},
		"other batches": {func(_ *site, p *press, f *Folder) {
			if f.From == 5 {
				f.Previous = &FolderLink{From: 1, Next: 5, CID: p.dirs[0]}
			}
		}, FalseAnswer},
		"another header": {func(s *site, _ *press, f *Folder) {
			f.Headers = func(i uint64) ([]byte, error) { return s.entries[i/2], nil }
		}, FalseTile},
		"another checkpoint": {func(s *site, _ *press, f *Folder) {
			f.Checkpoint = s.resigned(f.Next, merkle.Hash{1})
		}, FalseTile},
		"not signed": {func(s *site, _ *press, f *Folder) {
			f.Checkpoint = s.fork().resignedBy(newSite(s.t).key, ledger.Origin(s.id.Ledger), f.Next, merkle.Hash{1})
		}, FalseCheckpoint},
		"false update": {func(_ *site, _ *press, f *Folder) { f.Update = []byte("no proof") }, FalseUpdate},
		"group left out": {func(_ *site, _ *press, f *Folder) {
			if f.From == 5 {
				f.Group = nil
			}
		}, MissingGroup},
		"an object left out": {func(_ *site, _ *press, f *Folder) {
			get := f.Group.Get
			f.Group.Get = func(o *store.ObjectRef) ([]byte, error) {
				if o != nil && f.From == 5 {
					return nil, store.ErrShredded
				}
				return get(o)
			}
		}, NoMore},
		"a statement names another folder": {func(s *site, p *press, f *Folder) {
			if f.From == 5 {
				s.state(ledger.Published{First: 0, Next: 5, CID: ipfs.FileCID(nil).String()}.Statement(s.now()), false)
				s.close(1)
			}
		}, FalseAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.close(25)
			p := &press{s: s, node: node}
			p.bend = func(f *Folder) { c.bend(s, p, f) }
			p.publish()
			newest := p.publish()
			src, err := FromIPFS(ctx, p.node, newest, s.id.Ledger, s.keys(), 0, nil)
			if err == nil {
				copied := s.open(t.TempDir(), Options{})
				err = copied.Follow(ctx, src, s.keys(), nil)
			}
			if !raised(err, c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// TestIPFSKeys restores with keys that open only some hours: what comes after them waits, what was before is none of
// the copy's business, where its statements can be had.
func TestIPFSKeys(t *testing.T) {
	s, ctx, node := newSite(t), context.Background(), newNode(t)
	s.close(45)
	p := &press{s: s, node: node}
	newest := p.publish()
	keys := s.keys()
	keys.until = s.groups[2].Hour
	src, err := FromIPFS(ctx, p.node, newest, s.id.Ledger, keys, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := s.open(t.TempDir(), Options{})
	follow(t, c, src, keys)
	if _, next, _ := c.Sealed(); next != s.groups[1].Next {
		t.Errorf("groups up to batch %d are restored, want %d", next, s.groups[1].Next)
	}
	keys.until = 0
	follow(t, c, src, keys)
	keys.from = s.groups[1].Hour
	if src, err = FromIPFS(ctx, p.node, newest, s.id.Ledger, keys, 0, nil); err != nil {
		t.Fatal(err)
	}
	refs, err := src.Groups(ctx, 0)
	if err != nil || len(refs) == 0 || refs[0].First != s.groups[1].First {
		t.Errorf("got %v, %v", refs, err)
	}
	follow(t, s.open(t.TempDir(), Options{}), src, keys) // the head tells the statements before
	p.bend = func(f *Folder) { f.Group.Leaves = nil }
	if src, err = FromIPFS(ctx, p.node, p.publish(), s.id.Ledger, keys, 0, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.open(t.TempDir(), Options{}).Follow(ctx, src, keys, nil); err == nil {
		t.Error("restored without the statements before the first group")
	}
}

// TestIPFSThin restores from folders whose objects are not kept any more, but for the newest.
func TestIPFSThin(t *testing.T) {
	s, ctx, node := newSite(t), context.Background(), newNode(t)
	s.close(45)
	p := &press{s: s, node: node}
	newest := p.publish()
	for _, c := range p.dirs[:2] {
		if err := p.node.Thin(ctx, c, SealedFile); err != nil {
			t.Fatal(err)
		}
		d, err := ipfs.OpenDir(ctx, p.node, c)
		if err != nil {
			t.Fatal(err)
		}
		if f, ok := d.File(SealedFile); !ok {
			t.Error("the folder does not name its objects any more")
		} else if _, err := p.node.Block(ctx, f); err == nil {
			t.Log("the node has not collected them yet")
		}
	}
	src, err := FromIPFS(ctx, p.node, newest, s.id.Ledger, s.keys(), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	follow(t, s.open(t.TempDir(), Options{}), src, s.keys())
}

// TestIPFSTellsNothing publishes the same quarter hours of sites with few and with many devices, quiet and busy: no
// name, count or size of a file is another.
func TestIPFSTellsNothing(t *testing.T) {
	ctx, node := context.Background(), newNode(t)
	var first []string
	for i, objects := range []int{0, 1, testCompartments} {
		s := newSite(t)
		s.objects = objects
		s.close(25)
		p := &press{s: s, node: node}
		p.publish()
		var got []string
		for _, c := range p.dirs {
			d, err := ipfs.OpenDir(ctx, p.node, c)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range d.Names() {
				size, err := d.Size(ctx, name)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, fmt.Sprintf("%s %d", name, size))
				b, err := d.Read(ctx, name, size)
				if err != nil {
					t.Fatal(err)
				}
				if name == ipfsGroup || name == SealedFile {
					if e := entropy(b); e < 7.9 {
						t.Errorf("%s has %.2f bits in a byte", name, e)
					}
				}
				for _, tells := range []string{"stream", "envelope", "bind"} {
					if bytes.Contains(b, []byte(tells)) {
						t.Errorf("%s holds %q", name, tells)
					}
				}
				if a, err := parseAbout(b); err == nil {
					if _, err := a.ref(newSite(t).hourKey(ledgerName, a.hour)); !errors.Is(err, share.ErrSeal) {
						t.Errorf("the index opens with another key: %v", err)
					}
				}
			}
		}
		if i == 0 {
			first = got
		} else if !slices.Equal(first, got) {
			t.Errorf("%d objects:\n%v\nnone:\n%v", objects, got, first)
		}
	}
}

// entropy is that of the bytes' frequencies, in bits.
func entropy(b []byte) (e float64) {
	n := map[byte]int{}
	for _, x := range b {
		n[x]++
	}
	for count := range maps.Values(n) {
		f := float64(count) / float64(len(b))
		e -= f * math.Log2(f)
	}
	return e
}

func TestAbout(t *testing.T) {
	s := newSite(t)
	s.close(6)
	ref := s.groups[0]
	f := Folder{
		Ledger: s.id.Ledger, From: 7, Next: 9, Previous: &FolderLink{From: 3, Next: 7, CID: ipfs.FileCID(nil)},
		Group: &FolderGroup{Ref: store.GroupRef{First: 7, Next: 9, Hour: ref.Hour, Live: true, Object: ref.Object, Size: 512}, Key: s.hourKey(ledgerName, ref.Hour)},
	}
	b := f.about()
	a, err := parseAbout(b)
	if err != nil {
		t.Fatal(err)
	}
	got, err := a.ref(f.Group.Key)
	if err != nil || got != f.Group.Ref || a.previous == nil || *a.previous != *f.Previous || !a.live {
		t.Errorf("got %+v, %+v, %v", a, got, err)
	}
	for i := range b {
		if a, err := parseAbout(flippedAt(b, i)); err == nil && a.group && a.ledger == f.Ledger && a.hour == ref.Hour && a.previous.CID == f.Previous.CID {
			if _, err := a.ref(f.Group.Key); err == nil && !a.live == f.Group.Ref.Live {
				t.Errorf("byte %d may be another", i)
			}
		}
	}
	for name, bad := range map[string]string{
		"empty": "", "no line": "cairn/ipfs/1", "short": "cairn/ipfs/1\n", "more": string(b) + "more\n", "no end": string(b[:len(b)-1]),
		"a hole":  strings.Replace(string(b), "previous 3 7", "previous 3 6", 1),
		"no past": string(b[:bytes.Index(b, []byte("previous"))]),
		"zeros":   strings.Replace(string(b), "log 7 9", "log 07 9", 1),
		"large":   strings.Replace(string(b), "log 7 9", "log 7 9000", 1),
	} {
		if _, err := parseAbout([]byte(bad)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func flippedAt(b []byte, i int) []byte {
	b = bytes.Clone(b)
	b[i] ^= 1
	return b
}

func FuzzAbout(f *testing.F) {
	f.Add([]byte("cairn/ipfs/1\nledger " + strings.Repeat("ab", 32) + "\nlog 0 5\ngroup 7 sealed " + strings.Repeat("00", ipfsIndexSize) + "\n"))
	f.Add([]byte("cairn/ipfs/1\nledger " + strings.Repeat("ab", 32) + "\nlog 5 6\nprevious 0 5 " + ipfs.FileCID(nil).String() + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := parseAbout(b)
		if err != nil {
			return
		}
		if a.next <= a.from || a.next-a.from > maxFolderHeader || (a.previous == nil) != (a.from == 0) {
			t.Errorf("%q gives %+v", b, a)
		}
	})
}

// TestIPFSAnchors holds that a copy that catches up from IPFS has the anchors of each
// folder, and not only those of the newest one.
func TestIPFSAnchors(t *testing.T) {
	s := &anchoredSite{site: newSite(t)}
	p := &press{s: s.site, node: newNode(t)}
	var newest ipfs.CID
	for range 8 {
		s.close(15)
		s.sizes = append(s.sizes, s.sealed()+1) // under the folder's checkpoint from the next round on
		file, err := s.file(s.sizes[max(0, len(s.sizes)-2):max(1, len(s.sizes)-1)])
		if err != nil {
			t.Fatal(err)
		}
		if s.update = file; len(s.sizes) == 1 {
			s.update = nil
		}
		newest = p.publish()
	}
	src, err := FromIPFS(t.Context(), p.node, newest, s.id.Ledger, s.keys(), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := s.open(t.TempDir(), Options{})
	follow(t, c, src, s.keys())
	if got, want := c.anchored["ots"], s.sizes[:len(s.sizes)-1]; !slices.Equal(got, want) {
		t.Errorf("got the anchors of %v batches, want %v", got, want)
	}
}
