package link

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// tune has TCP give a connection up when what was sent stays unacknowledged.
// A connection that cannot be tuned works too, only its loss is noticed later.
func tune(c net.Conn) {
	t, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(deadAfter.Milliseconds()))
	})
}
