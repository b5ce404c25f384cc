"""One verb for each module, one public function in each."""
