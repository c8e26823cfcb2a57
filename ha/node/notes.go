package node

import "sync"

// noteBook keeps the last alarm of each logical unit, for the operator.
type noteBook struct {
	mu    sync.Mutex
	texts map[string]string
	final map[string]bool // the text is a refusal
}

func (b *noteBook) keep(lun, text string, refused bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.texts == nil {
		b.texts, b.final = map[string]string{}, map[string]bool{}
	}
	b.texts[lun], b.final[lun] = text, refused
}

// refused reports whether the last alarm was a refusal of what the operator
// wants.
func (b *noteBook) refused(lun string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.final[lun]
}

// news keeps a text and reports whether it is another than before.
func (b *noteBook) news(about, text string) bool {
	was := b.last(about)
	b.keep(about, text, false)
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
	delete(b.final, lun)
}
