package statefile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/pidfile"
	"github.com/tandem-san/tandem/scsi"
)

// sample is a record with something in it.
func sample(name string) Record {
	host := lun.Nexus{InitiatorPort: "iqn.2026-11.test:host,i,0x1", TargetPort: 3}
	return Record{
		Owner: "controller 1 of cluster beast", LUN: name, At: ha.Stamp{Epoch: 7, Version: 3},
		State: lun.State{
			Version: 1, Mode: scsi.DefaultModeValues(), PowerLoss: true,
			Registrations: []lun.Registration{{Nexus: host, Key: 0xAB}},
			Reservation:   &lun.Reservation{Type: scsi.WriteExclusive, Holder: host},
		},
	}
}

func open(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := Open(path, "controller 1 of cluster beast")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestWhatWasSavedIsLoaded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "state")
	d := open(t, path)
	names := []string{"data", "Data", "a/b", "a_b", "../../etc/passwd", "", strings.Repeat("iqn.2026-11.test:long", 10) + ",lun,0", "ü"}
	for _, name := range names {
		if _, err := d.Load(name); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("%q before the first Save: %v", name, err)
		}
		if err := d.Save(sample(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Save(Record{LUN: "never active"}); err != nil {
		t.Fatal(err)
	}
	d.Close()
	d = open(t, path)
	for _, name := range names {
		if r, err := d.Load(name); err != nil || !reflect.DeepEqual(r, sample(name)) {
			t.Errorf("%q: %+v, %v", name, r, err)
		}
	}
	if r, err := d.Load("never active"); err != nil || r.At != (ha.Stamp{}) || r.State.Version != 0 {
		t.Errorf("the zero state: %+v, %v", r, err)
	}
}

func TestASaveThatWasCutShortLeavesTheFileAsItWas(t *testing.T) {
	d := open(t, t.TempDir())
	if err := d.Save(sample("data")); err != nil {
		t.Fatal(err)
	}
	half := sample("data").Encode()[:60]
	if err := os.WriteFile(d.File("data")+".new", half, 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := d.Load("data"); err != nil || !reflect.DeepEqual(r, sample("data")) {
		t.Errorf("%+v, %v", r, err)
	}
	if err := d.Save(sample("data")); err != nil {
		t.Errorf("over the leftover: %v", err)
	}
}

func TestASaveThatFailsIsReported(t *testing.T) {
	d := open(t, t.TempDir())
	if err := os.Mkdir(d.File("data")+".new", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := d.Save(sample("data")); err == nil {
		t.Error("no error")
	}
}

func TestEveryChangedByteIsNoticed(t *testing.T) {
	good := sample("data").Encode()
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 0x10
		if _, err := Decode(b); !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
	for _, n := range []int{0, 7, headerSize - 1, headerSize, len(good) - 1} {
		if _, err := Decode(good[:n]); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := Decode(append(bytes.Clone(good), 0)); !errors.Is(err, ErrDamaged) {
		t.Errorf("a byte too many: %v", err)
	}
}

func TestAFileThatIsNotWhatItShouldBeIsNamed(t *testing.T) {
	d := open(t, t.TempDir())
	other := sample("data")
	other.Owner = "controller 2 of cluster beast"
	for what, b := range map[string][]byte{
		"of another controller":   other.Encode(),
		"of another logical unit": sample("other").Encode(),
		"empty":                   {},
		"too long":                make([]byte, MaxSize+1),
	} {
		damaged := len(b) == 0 || len(b) > MaxSize
		if err := os.WriteFile(d.File("data"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Load("data"); err == nil || errors.Is(err, ErrDamaged) != damaged || !strings.Contains(err.Error(), d.File("data")) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := d.Discard("data"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Load("data"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Discard: %v", err)
	}
	if _, err := os.Stat(d.File("data") + ".damaged"); err != nil {
		t.Error(err)
	}
	if err := d.Discard("data"); err != nil {
		t.Errorf("when there is nothing: %v", err)
	}
}

func TestADirectoryIsOfOneProcess(t *testing.T) {
	path := t.TempDir()
	open(t, path)
	if _, err := Open(path, "another"); !errors.Is(err, pidfile.ErrRunning) {
		t.Errorf("got %v, want %v", err, pidfile.ErrRunning)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(sample("data").Encode())
	f.Add(Record{LUN: "x"}.Encode())
	f.Add([]byte("TANDEMLU\x00\x00\x00\x01\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		// Most inputs fail at the checksum: the body alone is tried too, with
		// the header it would have.
		for _, b := range [][]byte{b, frame(b)} {
			r, err := Decode(b)
			if err != nil {
				if !errors.Is(err, ErrDamaged) {
					t.Fatalf("an error that is not ErrDamaged: %v", err)
				}
				continue
			}
			again, err := Decode(r.Encode())
			if err != nil || again.At != r.At || again.LUN != r.LUN || again.Owner != r.Owner || !bytes.Equal(again.State.Encode(), r.State.Encode()) {
				t.Fatalf("%+v is read back as %+v, %v", r, again, err)
			}
		}
	})
}
