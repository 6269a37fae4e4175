"""`python -m lab.software_tpm`."""

from lab.software_tpm.app import main

if __name__ == "__main__":
    main()
