module github.com/weirswitch/weir

go 1.25.0
