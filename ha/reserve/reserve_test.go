package reserve

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKeysTellControllersAndClustersApartAndStayWhatTheyAre(t *testing.T) {
	seen := map[Key]string{}
	for _, cluster := range []string{"beast", "beauty", ""} {
		for node := uint8(1); node <= 8; node++ {
			k, name := KeyOf(cluster, node), fmt.Sprint(cluster, " ", node)
			if k == 0 || seen[k] != "" || uint8(k) != node {
				t.Errorf("%s has the key %v, which is that of %q", name, k, seen[k])
			}
			seen[k] = name
		}
	}
	// A controller of another release must find the key that this one left.
	if got := KeyOf("beast", 2).String(); got != "0xbad6523a25c97402" {
		t.Errorf("the key of beast 2 is %s", got)
	}
}

// The numbers and layouts are those of linux/pr.h.
func TestRequestsAreLaidOutAsTheKernelHasThem(t *testing.T) {
	const (
		registration = 8 + 8 + 4 + 4 // struct pr_registration
		reservation  = 8 + 4 + 4     // struct pr_reservation
		preemption   = 8 + 8 + 4 + 4 // struct pr_preempt
	)
	iow := func(n, size uintptr) uintptr { return 1<<30 | size<<16 | 'p'<<8 | n }
	word := binary.NativeEndian
	for _, c := range []struct {
		r      request
		number uintptr
		want   []byte
	}{
		{register(7, 8, ignoreKey), iow(200, registration),
			word.AppendUint32(word.AppendUint32(word.AppendUint64(word.AppendUint64(nil, 7), 8), 1), 0)},
		{reserve(7), iow(201, reservation),
			word.AppendUint32(word.AppendUint32(word.AppendUint64(nil, 7), 5), 0)},
		{preemptAbort(7, 8), iow(204, preemption),
			word.AppendUint32(word.AppendUint32(word.AppendUint64(word.AppendUint64(nil, 7), 8), 5), 0)},
	} {
		if c.r.number != c.number || string(c.r.argument) != string(c.want) {
			t.Errorf("%s is %#x with % x, want %#x with % x", c.r.name, c.r.number, c.r.argument, c.number, c.want)
		}
	}
}

// Results as kernels from 4.4 on give them for SCSI and NVMe.
func TestOnlyAConflictIsTakenForOne(t *testing.T) {
	for result, want := range map[int]error{
		0x18:   errConflict, // PR_STS_RESERVATION_CONFLICT
		0x118:  errConflict, // as SCSI of 6.1 has it
		0x83:   errConflict, // NVMe of before 6.4
		0x4083: errConflict, // the same with DNR
	} {
		if err, again := outcome(result); !errors.Is(err, want) || again {
			t.Errorf("result %#x: %v, again %v", result, err, again)
		}
	}
	for _, result := range []int{0x2, 0x402, 0x8, 0x28, 0x10000, 0xe0000, 0xf0000, 0x4001, -1} {
		if err, _ := outcome(result); err == nil || errors.Is(err, errConflict) {
			t.Errorf("result %#x: %v", result, err)
		}
	}
}

func TestUnitAttentionsAreLivedThroughAndOtherRefusalsAreNot(t *testing.T) {
	answers := []int{0x402, 0x402, 0x8, 0}
	call := func(request) (int, error) {
		n := answers[0]
		answers = answers[1:]
		return n, nil
	}
	if err := perform(call, reserve(1)); err != nil {
		t.Errorf("after two unit attentions and a disk that was busy: %v", err)
	}
	asked := 0
	refuse := func(request) (int, error) { asked++; return 0x402, nil }
	if err := perform(refuse, reserve(1)); err == nil || !strings.Contains(err.Error(), "APTPL") || asked != tries {
		t.Errorf("asked %d times: %v", asked, err)
	}
	broken := func(request) (int, error) { return 0, fs.ErrPermission }
	if err := perform(broken, reserve(1)); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "IOC_PR_RESERVE") {
		t.Errorf("an ioctl that fails: %v", err)
	}
}

func TestWhatIsNoDiskWithReservationsIsRefusedByName(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "disk.img")
	if err := os.WriteFile(file, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		file:                     "expected",
		dir:                      "expected",
		os.DevNull:               "expected",
		filepath.Join(dir, "no"): "no such file",
	} {
		err := New(Config{Path: path, Cluster: "beast", Node: 1}).Check()
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with the path and %q", path, err, want)
		}
	}
}
