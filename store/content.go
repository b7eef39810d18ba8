package store

// packContent is an object's content: compression (1: none 0, zstd 1) ‖ body.
func packContent(content []byte) []byte {
	if z := zstdEnc.EncodeAll(content, []byte{1}); len(z) <= len(content) {
		return z
	}
	return append([]byte{0}, content...)
}

func unpackContent(b []byte) ([]byte, error) {
	switch {
	case len(b) == 0:
	case b[0] == 0:
		return b[1:], nil
	case b[0] == 1:
		return zstdDec.DecodeAll(b[1:], nil)
	}
	return nil, errColumns
}
