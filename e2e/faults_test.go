package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAFullDiskUnderALogicalUnitFailsWritesAndNothingElse(t *testing.T) {
	t.Parallel()
	s := newSingle(t)
	small := filepath.Join(s.dir, "small")
	s.configure(t, open(target,
		fmt.Sprintf("lun 0 { path %s  size 256M }", filepath.Join(small, "disk")),
		fmt.Sprintf("lun 1 { path %s  size 64M }", s.disk("disk"))))
	// The file system of 16 MiB is seen by this process only, and goes with it.
	const mounted = `mkdir "$0" && mount -t tmpfs -o size=16M tmpfs "$0" && exec "$@"`
	s.process = start(t, "unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mounted, small, tandem, "serve", "-c", s.config)
	s.awaitLine(t, "msg=ready")

	r := tryQemuIO(t, s.url(0), "write -P 1 0 4M", "write -P 2 4M 32M")
	contains(t, r.stdout, "wrote 4194304/4194304")
	if !strings.Contains(r.stdout+r.stderr, "write failed: No space left on device") {
		t.Errorf("32 MiB on a file system of 16: %s%s", r.stdout, r.stderr)
	}
	qemuIO(t, s.url(0), "read -P 1 0 4M", "write -P 3 0 1M", "read -P 3 0 1M")
	qemuIO(t, s.url(1), "write -P 4 0 32M", "read -P 4 0 32M")
	s.alive(t)
}

// header is a basic header segment (RFC 7143 §11.2.1) with a length of data.
func header(opcode, flags byte, data int) []byte {
	h := make([]byte, 48)
	h[0], h[1] = opcode, flags
	h[5], h[6], h[7] = byte(data>>16), byte(data>>8), byte(data)
	return h
}

// loginPDU is a login request that goes from the operational stage straight to
// the full feature phase (RFC 7143 §11.12).
func loginPDU() []byte {
	text := "InitiatorName=iqn.2026-01.com.example:raw\x00SessionType=Normal\x00AuthMethod=None\x00TargetName=" + target + "\x00"
	h := header(0x43, 0x87, len(text))
	copy(h[8:14], "\x80\x01\x02\x03\x04\x05") // ISID, of random format
	binary.BigEndian.PutUint32(h[16:], 1)     // initiator task tag
	return append(h, pad(text)...)
}

// pad fills data up to a word.
func pad(data string) []byte {
	return append([]byte(data), make([]byte, -len(data)&3)...)
}

func TestMalformedPDUsAreRejectedAndOtherSessionsAreNotDisturbed(t *testing.T) {
	t.Parallel()
	s := serveDisk(t)
	client := start(t, "qemu-io", "-f", "raw", s.url(0))
	good := func(n int) {
		t.Helper()
		// qemu-io sees one command at a time.
		fmt.Fprintf(client.stdin, "write -P %d 0 1M\n", n)
		client.awaitLines(t, n, "wrote 1048576/1048576")
		fmt.Fprintf(client.stdin, "read -P %d 0 1M\n", n)
		client.awaitLines(t, n, "read 1048576/1048576")
	}
	good(1)

	noise := bytes.Repeat([]byte{0xa5, 0x5a, 0xff, 0x00, 0x13}, 1000)
	first := []struct {
		name string
		send []byte
	}{
		{"noise", noise},
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: tandem\r\n\r\n" + strings.Repeat("X-Filler: filler\r\n", 500))},
		{"a SCSI command before login", header(0x01, 0x80, 0)},
		{"an unknown opcode", header(0x3f, 0x80, 0)},
		{"a login of 16 MiB", header(0x43, 0x87, 1<<24-1)},
		{"a login with additional headers of 1020 bytes", func() []byte { h := loginPDU(); h[4] = 0xff; return append(h, noise...) }()},
		{"a login without keys", header(0x43, 0x87, 0)},
		{"a login with a key that has no value", append(header(0x43, 0x87, 8), "Nonsense"...)},
		{"a login of a version that is not there", func() []byte { h := loginPDU(); h[2], h[3] = 9, 9; return h }()},
		{"a login to a stage that is reserved", func() []byte { h := loginPDU(); h[1] = 0x8a; return h }()},
	}
	for i, c := range first {
		t.Run(c.name, func(t *testing.T) { ends(t, s.portal, c.send) })
		good(2 + i)
	}
	for i, c := range []struct {
		name string
		send []byte
	}{
		{"an opcode of targets", header(0x21, 0x80, 0)},
		{"a data segment longer than was agreed", header(0x01, 0xa0, 1<<24-1)},
		{"data for a task that is not there", append(header(0x05, 0x80, 512), noise[:512]...)},
		{"a second login", loginPDU()},
		{"noise", noise},
	} {
		t.Run("logged in: "+c.name, func(t *testing.T) { ends(t, s.portal, append(loginPDU(), c.send...)) })
		good(2 + len(first) + i)
	}
	s.alive(t)
	if logins := countLines(s.output.String(), []string{`msg="logged in"`, "linux-kvm"}); logins != 1 {
		t.Errorf("the other session logged in %d times, expected once", logins)
	}
}

// ends sends bytes and demands that the target answers no more than a login,
// a Reject (RFC 7143 §11.17) or a login response, and closes the connection or,
// after a Reject, keeps it for what comes next.
func ends(t *testing.T, portal string, send []byte) {
	t.Helper()
	c, err := net.Dial("tcp", portal)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	// The target may close before it has got everything.
	_, _ = c.Write(send)
	const loginResponse, reject = 0x23, 0x3f
	for {
		h := make([]byte, 48)
		if _, err := io.ReadFull(c, h); err != nil {
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
				t.Fatalf("neither answered nor closed within %v", patience)
			}
			return
		}
		switch h[0] & 0x3f {
		case reject:
			return
		case loginResponse:
			data := int64(h[5])<<16 | int64(h[6])<<8 | int64(h[7])
			if _, err := io.CopyN(io.Discard, c, (data+3)&^3); err != nil {
				return
			}
		default:
			t.Fatalf("answered with opcode %02xh", h[0]&0x3f)
		}
	}
}
