package target

import (
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxDSCP is the largest differentiated services code point (RFC 2474 §3).
const maxDSCP = 63

// setDSCP marks the packets that are sent on a connection: the code point is
// the upper six bits of the type of service or traffic class. With 0 it does
// nothing.
func setDSCP(conn net.Conn, dscp uint8) error {
	tcp, ok := conn.(syscall.Conn)
	if dscp == 0 || !ok {
		return nil
	}
	level, option := unix.IPPROTO_IP, unix.IP_TOS
	if a, ok := conn.LocalAddr().(*net.TCPAddr); ok && a.IP.To4() == nil {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_TCLASS
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return fmt.Errorf("setting DSCP %d: %w", dscp, err)
	}
	var set error
	err = raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), level, option, int(dscp)<<2) })
	if err == nil {
		err = set
	}
	if err != nil {
		return fmt.Errorf("setting DSCP %d: %w", dscp, err)
	}
	return nil
}
