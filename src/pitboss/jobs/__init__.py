"""One module for each kind of run: parameters in, result out, over the plain libraries below."""
