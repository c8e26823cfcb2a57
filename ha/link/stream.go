package link

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"sync"

	"github.com/tandem-san/tandem/ha"
)

const (
	// socketBuffer is how much is read from and written to a socket at once.
	socketBuffer = 256 << 10
	// recordSize is the most plaintext one TLS record holds (RFC 8446 §5.1);
	// what is smaller is gathered, what is larger is written as it is.
	recordSize = 16 << 10
	// stageSize is how much small frames are gathered to before TLS gets them.
	stageSize = 4 * recordSize
)

// socket buffers a TCP connection under TLS, which by itself makes a system
// call for every record. Until grow it passes everything on at once.
type socket struct {
	net.Conn
	r *bufio.Reader
	// mu guards w: TLS writes also from the goroutine that reads (alerts, key
	// updates), and flush is called outside of it.
	mu sync.Mutex
	w  *bufio.Writer
}

// grow gives a socket that has been greeted the buffers of a working stream.
func (s *socket) grow() {
	s.r = bufio.NewReaderSize(s.Conn, socketBuffer)
	s.w = bufio.NewWriterSize(s.Conn, socketBuffer)
}

// Read implements net.Conn.
func (s *socket) Read(p []byte) (int, error) {
	if s.r == nil {
		return s.Conn.Read(p)
	}
	return s.r.Read(p)
}

// Write implements net.Conn.
func (s *socket) Write(p []byte) (int, error) {
	if s.w == nil {
		return s.Conn.Write(p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

func (s *socket) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Flush()
}

// stream is one greeted connection.
type stream struct {
	tls    *tls.Conn
	socket *socket
}

// close ends the connection without a word: frames say themselves where they
// end, and waiting for the peer to read a farewell could take long.
func (s *stream) close() { s.socket.Conn.Close() }

// reader reads frames without a TLS call for every small part of one.
func (s *stream) reader() io.Reader { return bufio.NewReaderSize(s.tls, recordSize) }

// writeLoop writes what the queue gives until it closes or writing fails, and
// then drops the rest.
func (s *stream) writeLoop(q *queue) error {
	defer q.drop()
	stage := make([]byte, 0, stageSize)
	var b batch
	for q.take(&b) {
		var err error
		if stage, err = s.writeBatch(q, &b, stage); err != nil {
			return err
		}
		if err := s.socket.flush(); err != nil {
			return err
		}
	}
	return ErrDown
}

// writeBatch hands a batch to TLS, small frames gathered in stage. Every owner
// is released, whatever happens.
func (s *stream) writeBatch(q *queue, b *batch, stage []byte) ([]byte, error) {
	start, wrote := 0, 0
	for i := range b.frames {
		f := &b.frames[i]
		parts := [2][]byte{b.fixed[start:f.end], f.body}
		for _, part := range parts {
			var err error
			if stage, err = s.gather(stage, part); err != nil {
				releaseAll(b.frames[i:])
				return stage, err
			}
		}
		wrote += f.end - start + len(f.body)
		start = f.end
		if f.owner != nil {
			q.written(wrote) // before Release, which may want to send
			wrote = 0
			f.owner.Release()
		}
		f.body, f.owner = nil, nil
	}
	_, err := s.tls.Write(stage)
	q.written(wrote)
	return stage[:0], err
}

// gather adds p to stage, writing when it is full; a large p is written at
// once. In either case p is not needed afterwards.
func (s *stream) gather(stage, p []byte) ([]byte, error) {
	if len(stage)+len(p) <= cap(stage) && len(p) < recordSize {
		return append(stage, p...), nil
	}
	if len(stage) > 0 {
		if _, err := s.tls.Write(stage); err != nil {
			return stage[:0], err
		}
	}
	if len(p) < recordSize {
		return append(stage[:0], p...), nil
	}
	_, err := s.tls.Write(p)
	return stage[:0], err
}

// readControl delivers the messages of a control stream until reading fails.
func readControl(r io.Reader, peer ha.NodeID, h Handler) error {
	var fixed [headerSize]byte
	var payload []byte
	for {
		d, err := readHeader(r, &fixed, MaxControl)
		if err != nil {
			return err
		}
		if payload, err = readBody(r, payload, d.head+d.body); err != nil {
			return err
		}
		h.Control(peer, payload[d.head:])
	}
}

// readBody reads n bytes into b's memory, which grows as the bytes come.
func readBody(r io.Reader, b []byte, n int) ([]byte, error) {
	for b = b[:0]; len(b) < n; {
		step := min(n-len(b), max(cap(b)-len(b), recordSize))
		start := len(b)
		if start+step > cap(b) {
			b = append(b, make([]byte, step)...)
		}
		b = b[:start+step]
		if _, err := io.ReadFull(r, b[start:]); err != nil {
			return b, err
		}
	}
	return b, nil
}

// readData delivers the frames of a data stream until reading fails.
func readData(r io.Reader, peer ha.NodeID, h Handler) error {
	var fixed [headerSize]byte
	head := make([]byte, MaxHead)
	for {
		d, err := readHeader(r, &fixed, MaxBody)
		if err != nil {
			return err
		}
		f := Frame{Kind: d.kind, Flags: d.flags, Request: d.request, Epoch: d.epoch, Head: head[:d.head]}
		if _, err := io.ReadFull(r, f.Head); err != nil {
			return err
		}
		if d.body > 0 {
			if f.Body = h.Place(peer, f, d.body); f.Body == nil {
				f.Lost = true
				_, err = io.CopyN(io.Discard, r, int64(d.body))
			} else {
				f.Body = f.Body[:d.body]
				_, err = io.ReadFull(r, f.Body)
			}
			if err != nil {
				return err
			}
		}
		h.Data(peer, f)
	}
}

func readHeader(r io.Reader, b *[headerSize]byte, maxBody int) (header, error) {
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return header{}, err
	}
	return decodeHeader(b, maxBody)
}
