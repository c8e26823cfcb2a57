package etcd

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

func TestConnectionsBetweenMembersDoNotStayDeaf(t *testing.T) {
	listen := func() *net.TCPListener {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	connect := func(l *net.TCPListener) (out, in *net.TCPConn) {
		out, err := net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr))
		if err != nil {
			t.Fatal(err)
		}
		in, err = l.AcceptTCP()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { out.Close(); in.Close() })
		return out, in
	}
	timeout := func(c *net.TCPConn) (v int) {
		raw, err := c.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		if e := raw.Control(func(fd uintptr) { v, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT) }); e != nil || err != nil {
			t.Fatal(e, err)
		}
		return v
	}
	own, other, stranger := listen(), listen(), listen()
	_, in := connect(own)
	out, _ := connect(other)
	foreign, strange := connect(stranger)
	cfg := Config{Self: "1", Listen: own.Addr().String(), Members: map[string]string{"1": own.Addr().String(), "2": other.Addr().String()}}
	tendSockets(cfg.ports())
	want := int(deafTime.Milliseconds())
	if got := timeout(in); got != want {
		t.Errorf("a connection from a member is given up after %d ms, want %d", got, want)
	}
	if got := timeout(out); got != want {
		t.Errorf("a connection to a member is given up after %d ms, want %d", got, want)
	}
	if a, b := timeout(foreign), timeout(strange); a != 0 || b != 0 {
		t.Errorf("a connection of somebody else is given up after %d and %d ms", a, b)
	}
}
