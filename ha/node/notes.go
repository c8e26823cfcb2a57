package node

import "sync"

// noteBook keeps the last alarm of each logical unit, for the operator.
type noteBook struct {
	mu    sync.Mutex
	texts map[string]string
}

func (b *noteBook) keep(lun, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.texts == nil {
		b.texts = map[string]string{}
	}
	b.texts[lun] = text
}

// news keeps a text and reports whether it is another than before.
func (b *noteBook) news(about, text string) bool {
	was := b.last(about)
	b.keep(about, text)
	return was != text
}

func (b *noteBook) last(lun string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.texts[lun]
}

func (b *noteBook) forget(lun string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.texts, lun)
}
