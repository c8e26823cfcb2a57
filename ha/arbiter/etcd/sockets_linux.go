package etcd

import (
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// How long a connection to another member may be deaf. Rafthttp would have its
// own limit of 5 s for reading, but etcd 3.7 does not apply it: a connection
// through which nothing comes is then used until TCP gives up or gets through
// again. TCP tries more and more rarely, so after a network has been cut for a
// minute it may be another one until the members hear each other.
const (
	deafTime  = 3 * time.Second
	probeTime = time.Second // of silence, before and between probes
	tendTime  = time.Second // how often new connections are looked for
)

// tendSockets sees to it, until the member is closed, that connections between
// members end when the other side is not there any more. Etcd opens them itself
// and gives no access to them, so they are looked for among all of this process.
func (m *Member) tendSockets() {
	near, far := m.cfg.ports()
	tick := time.NewTicker(tendTime)
	defer tick.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-tick.C:
			tendSockets(near, far)
		}
	}
}

// ports are those of this member and of the others.
func (cfg *Config) ports() (near int, far map[int]bool) {
	number := func(addr string) int {
		_, port, _ := net.SplitHostPort(addr) // check has seen to it
		n, _ := net.LookupPort("tcp", port)
		return n
	}
	far = map[int]bool{}
	for name, addr := range cfg.Members {
		if name != cfg.Self {
			far[number(addr)] = true
		}
	}
	return number(cfg.Listen), far
}

// tendSockets sets the limits of every TCP connection that comes in at the port
// near or goes out to one of far. What cannot be set stays as it is.
func tendSockets(near int, far map[int]bool) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil {
			tendSocket(fd, near, far)
		}
	}
}

func tendSocket(fd, near int, far map[int]bool) {
	// One of its own, as the other may be closed and become something else.
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(own)
	if v, err := unix.GetsockoptInt(own, unix.SOL_SOCKET, unix.SO_PROTOCOL); err != nil || v != unix.IPPROTO_TCP {
		return
	}
	remote, err := unix.Getpeername(own)
	if err != nil {
		return // it listens, or is over
	}
	local, err := unix.Getsockname(own)
	if err != nil || port(local) != near && !far[port(remote)] {
		return
	}
	_ = unix.SetsockoptInt(own, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(deafTime.Milliseconds()))
	_ = unix.SetsockoptInt(own, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(probeTime.Seconds()))
	_ = unix.SetsockoptInt(own, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(probeTime.Seconds()))
	_ = unix.SetsockoptInt(own, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, int(deafTime/probeTime))
	_ = unix.SetsockoptInt(own, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
}

// port is that of one end of a connection.
func port(sa unix.Sockaddr) int {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return a.Port
	case *unix.SockaddrInet6:
		return a.Port
	}
	return -1
}
