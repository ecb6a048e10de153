check 'one that sleeps' sleep 1000
