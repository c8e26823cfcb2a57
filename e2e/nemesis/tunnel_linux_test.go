package nemesis

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const tunnelDevice = "tunnel"

// maxQueue is how long a packet waits for those before it at most; later ones
// are dropped, as a router does. It is far less than any client takes to give a
// path up: no network holds what a client has long sent elsewhere. (That is why
// this delays packets, and there is no TCP proxy in the path: a proxy would hand
// on what it had taken from a connection that the client has reset.)
const maxQueue = 300 * time.Millisecond

// shape is what a path does to packets.
type shape struct {
	delay  time.Duration
	jitter time.Duration // up to that much more; packets overtake each other
	rate   int           // bytes a second; 0: any
}

// and is both one after the other.
func (s shape) and(o shape) shape {
	s.delay += o.delay
	s.jitter += o.jitter
	if s.rate == 0 || o.rate != 0 && o.rate < s.rate {
		s.rate = o.rate
	}
	return s
}

// tunnel is a network device of the router. What is led into it comes out of it
// again, later. The kernel's own means (netem) is in few kernels.
type tunnel struct {
	file *os.File
	done chan struct{}

	mu     sync.Mutex
	shapes map[netip.Addr]*shaped
}

// shaped is a shape in use, for both directions.
type shaped struct {
	shape
	free [2]time.Time // when the next packet may go, from and to the host
}

func newTunnel(n *namespace) (t *tunnel, err error) {
	t = &tunnel{done: make(chan struct{})}
	n.do(func() { t.file, err = openTunnel() })
	if err != nil {
		return nil, fmt.Errorf("making a tunnel: %w", err)
	}
	go t.run()
	return t, nil
}

func openTunnel() (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	request, err := unix.NewIfreq(tunnelDevice)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), tunnelDevice), nil
}

func (t *tunnel) close() {
	t.file.Close()
	<-t.done
}

// set says what happens to packets from and to which port.
func (t *tunnel) set(ports map[port]shape) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shapes = map[netip.Addr]*shaped{}
	for p, s := range ports {
		t.shapes[netip.MustParseAddr(p.address())] = &shaped{shape: s}
	}
}

// run hands packets on until the tunnel is closed.
func (t *tunnel) run() {
	defer close(t.done)
	buf := make([]byte, 65536)
	for {
		n, err := t.file.Read(buf)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil || n < 20 || buf[0]>>4 != 4 {
			continue
		}
		packet := append([]byte(nil), buf[:n]...)
		wait, ok := t.schedule(packet)
		switch {
		case !ok:
		case wait <= 0:
			_, _ = t.file.Write(packet)
		default:
			// After the end it is written nowhere.
			time.AfterFunc(wait, func() { _, _ = t.file.Write(packet) })
		}
	}
}

// schedule says how long a packet waits; not ok: it is dropped.
func (t *tunnel) schedule(packet []byte) (wait time.Duration, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for direction, at := range []int{12, 16} { // source and destination
		addr, _ := netip.AddrFromSlice(packet[at : at+4])
		s := t.shapes[addr]
		if s == nil {
			continue
		}
		now := time.Now()
		free := s.free[direction]
		if free.Before(now) {
			free = now
		}
		if free.Sub(now) > maxQueue {
			return 0, false
		}
		if s.rate > 0 {
			free = free.Add(time.Duration(len(packet)) * time.Second / time.Duration(s.rate))
		}
		s.free[direction] = free
		wait += free.Sub(now) + s.delay
		if s.jitter > 0 {
			wait += rand.N(s.jitter)
		}
	}
	return wait, true
}
