"""A computing party: compares secret-shared encodings with two others, and sees none of them.

It knows nothing of `pprl`; both keep to the files that are described in the documentation
under "Secure linkage". All cryptography is that of two packages: SecretFlow SPU (ABY3 among
three parties) and age.
"""
