check 'the only one' true
